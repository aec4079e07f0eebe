import { expect, test } from "vitest";
import { circuitPauseMs, createCircuit } from "./circuit.ts";

const startMs = Date.UTC(2026, 0, 1);

test("too many actions in a minute pause automation, tell a human once, and the pause ends by itself", () => {
  const told: number[] = [];
  const circuit = createCircuit((untilMs) => told.push(untilMs));
  for (let index = 0; index < 3; index += 1) {
    expect(circuit.closed(startMs + index, 3)).toBe(true);
    circuit.noteAction(startMs + index);
  }
  expect(circuit.closed(startMs + 10, 3)).toBe(false);
  expect(circuit.closed(startMs + 20, 3)).toBe(false);
  expect(told).toEqual([startMs + 10 + circuitPauseMs]);
  expect(circuit.closed(startMs + 10 + circuitPauseMs, 3)).toBe(true);
});

test("actions spread over more than a minute never open it", () => {
  const circuit = createCircuit(() => expect.unreachable("opened"));
  for (let index = 0; index < 50; index += 1) {
    expect(circuit.closed(startMs + index * 25_000, 3)).toBe(true);
    circuit.noteAction(startMs + index * 25_000);
  }
});

test("a restart forgets neither an open circuit nor the actions of the last minute", () => {
  const open = createCircuit(() => undefined);
  open.restore(startMs + 60_000, []);
  expect(open.closed(startMs, 3)).toBe(false);
  const counting = createCircuit(() => undefined);
  counting.restore(0, [startMs - 3, startMs - 2, startMs - 1]);
  expect(counting.closed(startMs, 3)).toBe(false);
});

test("a cap of zero never acts", () => {
  expect(createCircuit(() => undefined).closed(startMs, 0)).toBe(false);
});
