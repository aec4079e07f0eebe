import type { KillState } from "@reflex/protocol/kill";
import type { AgentProcess } from "./agent-process.ts";
import { makeFalseRelease, makeRelease, makeWeights, type Release } from "./bundles.ts";
import { connectorNames } from "./far-end.ts";
import type { Headquarters } from "./headquarters.ts";
import { bytesOf, type Key, keys, self, signed, startMs } from "./keys.ts";
import type { Network } from "./network.ts";
import type { Siem } from "./siem.ts";
import { fairWeather, type Sim } from "./sim.ts";

/** What really was signed by whom it takes: the guarantees are judged against this, not against what the agent believes. */
export type Truth = { readonly releases: Map<string, Release>; readonly kills: Map<string, KillState> };

/** What moves between the parts of a world and belongs to none of them. */
export type Circumstances = { clockOffMs: number; isLocallyKilled: boolean };

const minute = 60_000;

/** Sets going everything that can go wrong, each at a rate that the seed chose. `calm` ends it all. */
export const unleashChaos = (
  sim: Sim,
  parts: {
    readonly process: AgentProcess;
    readonly network: Network;
    readonly headquarters: Headquarters;
    readonly siem: Siem;
    readonly truth: Truth;
    readonly circumstances: Circumstances;
  },
): { readonly calm: () => void } => {
  const { dice, time, weather } = sim;
  const { process, network, headquarters, siem, truth, circumstances } = parts;
  let isCalm = false;

  /** Some runs have none of it, some little, some much: what hides behind constant crashes shows without them. */
  const mood = (): number => dice.pick([0, 0.3, 1, 3]);
  const often = (meanMs: number, run: () => void): void => {
    time.after(sim.world, dice.around(meanMs), () => {
      if (isCalm) return;
      run();
      often(meanMs, run);
    });
  };
  const sometimes = (meanMs: number, run: () => void): void => {
    const rate = mood();
    if (rate > 0) often(meanMs / rate, run);
  };
  const spell = (ms: number, begin: () => void, over: () => void): void => {
    begin();
    time.after(sim.world, ms, over);
  };

  weather.crash = 0.004 * mood();
  weather.diskError = 0.01 * mood();
  weather.slowDisk = 0.05 * mood();
  weather.lost = 0.06 * mood();
  weather.doubled = 0.05 * mood();
  weather.delayed = 0.05 * mood();
  weather.storeError = 0.05 * mood();
  weather.callTrouble = 0.12 * mood();

  let version = 0;
  const release = (): void => {
    version += 1;
    const made = makeRelease(version, dice);
    truth.releases.set(made.payloadHash, made);
    sim.tell(`release: version ${version}`);
    headquarters.desire("bundle", made);
  };
  const falseRelease = (): void => {
    const old = [...truth.releases.values()];
    const isOld = old.length > 1 && dice.chance(0.4);
    const blob = isOld ? dice.pick(old as [Release, ...Release[]]) : undefined;
    if (blob !== undefined) {
      sim.tell(`a stolen director key offers old version ${blob.version}`);
      // Under its own number and under a higher one.
      const claimed = dice.chance(0.5) ? blob.version : version + 100;
      headquarters.desire("bundle", { ...blob, pointer: { ...blob.pointer, version: claimed } });
      return;
    }
    const made = makeFalseRelease(version + dice.between(1, 5), dice);
    sim.tell(`somebody offers a bundle: ${made.why}`);
    headquarters.desire("bundle", made.blob);
  };

  const scopes = [
    { org: self.org, site: "*", agent: "*" },
    { org: self.org, site: self.site, agent: "*" },
    { org: self.org, site: self.site, agent: self.agent },
  ] as const;
  const epochs = new Map<object, number>();
  const killState = (aud: KillState["aud"], state: KillState["state"], epoch: number): KillState => ({
    v: 1,
    kind: "kill",
    aud,
    state,
    epoch,
    reason: "simulated",
    by: "the analyst on duty",
    issued_at: new Date(startMs).toISOString(),
  });
  const [killKey, otherKillKey] = [keys.kill[0], keys.kill[2] as Key];
  const sayKill = (
    aud: (typeof scopes)[number],
    state: KillState["state"],
    epoch: number,
    by: readonly Key[],
  ): void => {
    const said = killState(aud, state, epoch);
    const envelope = signed("kill", said, by);
    if (headquarters.takeKill(envelope)) {
      truth.kills.set(JSON.stringify(envelope), said);
      sim.tell(`kill: ${aud.site}/${aud.agent} ${state}, epoch ${epoch}`);
    }
  };
  const engageAndRelease = (): void => {
    const aud = dice.pick(scopes);
    const epoch = (epochs.get(aud) ?? 0) + 1;
    epochs.set(aud, epoch + 1);
    sayKill(aud, "engaged", epoch, [killKey]);
    time.after(sim.world, dice.around(3 * minute), () => {
      // One key releases nothing, however often it signs.
      const alone = signed("kill", killState(aud, "armed", epoch + 1), [otherKillKey, otherKillKey]);
      if (headquarters.takeKill(alone)) sim.breach("killed means killed", "the controller took a release with one key");
      const topic = aud.site === "*" ? "killOrg" : aud.agent === "*" ? "killSite" : "killAgent";
      network.inject(topic, bytesOf(alone));
      time.after(sim.world, dice.around(2 * minute), () => sayKill(aud, "armed", epoch + 1, [killKey, otherKillKey]));
      // Two officers at one time: at one epoch, engaged wins.
      if (dice.chance(0.2)) {
        time.after(sim.world, dice.around(4 * minute), () => {
          sayKill(aud, "engaged", epoch + 1, [otherKillKey]);
          epochs.set(aud, epoch + 2);
          time.after(sim.world, 2 * minute, () => sayKill(aud, "armed", epoch + 2, [killKey, otherKillKey]));
        });
      }
    });
  };

  release();
  headquarters.start();
  process.boot();
  often(dice.pick([10_000, 30_000, 90_000]), siem.emit);
  sometimes(15 * minute, () => {
    for (let left = dice.between(5, 40); left > 0; left -= 1) siem.emit();
  });
  sometimes(6 * minute, () => process.crash("at no particular step"));
  sometimes(15 * minute, process.stop);
  sometimes(8 * minute, () =>
    spell(
      dice.around(2 * minute),
      () => {
        weather.isCutOff = true;
        // Sometimes nobody notices that the line is dead.
        if (dice.chance(0.7)) network.cut();
        sim.tell("network: cut off");
      },
      () => {
        weather.isCutOff = false;
        sim.tell("network: back");
      },
    ),
  );
  sometimes(15 * minute, () =>
    spell(
      dice.around(20_000),
      () => {
        weather.isDiskFull = true;
        sim.tell("disk: full");
        sim.happened({ kind: "disk_full", isFull: true });
      },
      () => {
        weather.isDiskFull = false;
        sim.tell("disk: has room");
        sim.happened({ kind: "trouble", with: "disk" });
        sim.happened({ kind: "disk_full", isFull: false });
      },
    ),
  );
  sometimes(12 * minute, () => {
    const name = dice.pick(connectorNames);
    spell(
      dice.around(4 * minute),
      () => weather.deadConnectors.add(name),
      () => weather.deadConnectors.delete(name),
    );
    sim.tell(`connector ${name}: dead for a while`);
  });
  sometimes(25 * minute, () => {
    weather.isControllerDown = true;
    sim.tell("controller: down");
    time.after(sim.world, dice.around(8 * minute), () => {
      weather.isControllerDown = false;
      sim.tell("controller: up again");
      headquarters.restart();
    });
  });
  sometimes(20 * minute, () => {
    const byMs = dice.pick([-7_200_000, -600_000, -30_000, 30_000, 400_000, 7_200_000]);
    circumstances.clockOffMs += byMs;
    sim.tell(`clock: jumps by ${byMs / 1_000} s`);
    time.after(sim.world, dice.around(5 * minute), () => {
      circumstances.clockOffMs = 0;
      sim.tell("clock: right again");
    });
  });
  sometimes(20 * minute, () => {
    weather.pausedUntilMs = time.nowMs() + dice.around(20_000);
  });
  sometimes(12 * minute, engageAndRelease);
  sometimes(40 * minute, () =>
    spell(
      dice.around(minute),
      () => setLocalKill(true),
      () => setLocalKill(false),
    ),
  );
  const setLocalKill = (isPresent: boolean): void => {
    circumstances.isLocallyKilled = isPresent;
    sim.tell(`the file KILL is ${isPresent ? "there" : "gone"}`);
    sim.happened({ kind: "local_kill", isPresent });
  };
  sometimes(8 * minute, release);
  sometimes(15 * minute, () => {
    falseRelease();
    time.after(sim.world, dice.around(3 * minute), release);
  });
  let weightsVersion = 0;
  sometimes(20 * minute, () => {
    weightsVersion += 1;
    headquarters.desire("weights", makeWeights(weightsVersion, dice));
  });
  sometimes(40 * minute, headquarters.rotateTrust);
  sometimes(3 * minute, () => {
    const old = network.recorded();
    const one = old[dice.between(0, Math.max(0, old.length - 1))];
    if (one === undefined) return;
    sim.tell(`somebody replays an old ${one.name}`);
    network.inject(one.name, one.bytes);
  });
  sometimes(6 * minute, () => {
    const rows = process.assembled()?.executor.inForce() ?? [];
    const row = rows[dice.between(0, Math.max(0, rows.length - 1))];
    if (row === undefined) return;
    sim.tell(`an analyst ends ${row.command.action} ${row.command.target.value} early`);
    process.assembled()?.executor.undoNow(row.command.command_id, "false positive");
  });
  sometimes(6 * minute, () => void process.assembled()?.executor.reconcile(dice.pick(connectorNames)));

  return {
    calm: () => {
      isCalm = true;
      weather.deadConnectors.clear();
      Object.assign(weather, { ...fairWeather(), deadConnectors: weather.deadConnectors });
      circumstances.clockOffMs = 0;
      setLocalKill(false);
      sim.tell("all is calm");
    },
  };
};
