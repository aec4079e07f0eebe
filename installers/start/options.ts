import { parseArgs } from "node:util";
import { err, ok, type Result } from "@reflex/protocol/result";

export type StartOptions = {
  /** Files to play instead of the built-in scenario; `-` is stdin. Empty = the scenario. */
  readonly feed: readonly string[];
  readonly once: boolean;
  readonly json: boolean;
  readonly fresh: boolean;
  readonly dataDir: string;
  /** First of the ports used: API, broker, webhook, EDL follow. 0 = any free ones. */
  readonly portBase: number;
  readonly help: boolean;
};

export const usage = `npm start -- [options]

  --feed FILE...     play these files instead of the built-in scenario (format detected per line, - is stdin)
  --once             end when the feed is done and print a summary
  --json             with --once: the summary as one JSON object on stdout
  --fresh            start over: forget what the data folder holds
  --data DIR         where everything is kept (default: data)
  --port-base N      first port (default 7400): API, broker, webhook and EDL use N to N+3
  --help             this text
`;

/** `--feed a b c` takes every word up to the next option; parseArgs alone would take one. */
const gatherFeed = (argv: readonly string[]): { readonly feed: string[]; readonly rest: string[] } => {
  const feed: string[] = [];
  const rest: string[] = [];
  for (let index = 0; index < argv.length; index += 1) {
    const word = argv[index] ?? "";
    if (word === "--feed") {
      while (index + 1 < argv.length && (argv[index + 1] === "-" || !argv[index + 1]?.startsWith("-")))
        feed.push(argv[++index] ?? "");
      if (feed.length === 0) rest.push(word);
    } else if (word.startsWith("--feed=")) feed.push(word.slice("--feed=".length));
    else rest.push(word);
  }
  return { feed, rest };
};

export const readOptions = (argv: readonly string[]): Result<StartOptions, string> => {
  const { feed, rest } = gatherFeed(argv);
  try {
    const { values } = parseArgs({
      args: rest,
      strict: true,
      options: {
        once: { type: "boolean" },
        json: { type: "boolean" },
        fresh: { type: "boolean" },
        data: { type: "string" },
        "port-base": { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    });
    const portBase = Number(values["port-base"] ?? "7400");
    if (!Number.isInteger(portBase) || portBase < 0 || portBase > 65_000)
      return err(`--port-base ${values["port-base"]} is not a port; give a number from 1024 to 65000`);
    if (values.json === true && values.once !== true)
      return err("--json prints a summary, and only --once has an end; give both");
    return ok({
      feed,
      once: values.once ?? false,
      json: values.json ?? false,
      fresh: values.fresh ?? false,
      dataDir: values.data ?? "data",
      portBase,
      help: values.help ?? false,
    });
  } catch (error) {
    return err(error instanceof Error ? error.message : String(error));
  }
};
