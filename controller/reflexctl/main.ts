import { type Arguments, readArguments, UsageError } from "./arguments.ts";
import { clientFrom } from "./client.ts";
import { bundlePublish, bundleSign } from "./commands/bundle.ts";
import { decisionsList, decisionsReplay, decisionsShow } from "./commands/decisions.ts";
import { agentsList, deadLettersList, leasesList } from "./commands/fleet.ts";
import { keysNew } from "./commands/keys.ts";
import { killList, killSwitch } from "./commands/kill.ts";
import { connectorReconcile, leaseExtend, leaseOrder, ordersList } from "./commands/orders.ts";
import { policyCheck, policyTest } from "./commands/policy.ts";
import { siemDeadLetters, siemInstall, siemRetry, siemStatus } from "./commands/siem.ts";
import { tableText } from "./table.ts";

const usage = `reflexctl: the command line of a Reflex controller

  keys new --dir DIR --org ORG              make the organisation's keys and its trust document
  policy check DIR                          parse and lint a policy folder
  policy test DIR                           run the cases of a policy folder
  bundle sign DIR --org O --site S --version N --key FILE... [--out FILE]
  bundle sign --git URL [--ref R] [--dir D] … the same from a commit of a git repository
  bundle publish FILE                       hand a signed bundle to the controller
  agents                                    who is there, and what each runs
  decisions list [--verdict V] [--agent A] [--limit N]
  decisions show ID | --file TOKEN          one decision, with every reason
  decisions replay ID | --file TOKEN        recompute it from its token alone
  leases                                    what is in force, and until when
  leases undo ID --reason TEXT              end one early
  leases extend ID --ttl 2h --reason TEXT   count its time anew, from now
  leases hand-over ID --reason TEXT         leave it in force for good; a person owns it now
  leases mark-undone ID --reason TEXT       a stuck one was undone by hand
  connectors reconcile NAME --agent A --reason TEXT
                                            compare its target with what should be in force
  orders [--agent A] [--limit N]            what was asked of agents, and what came of it
  dead-letters                              what could not be read, and why
  siem status | dead-letters | retry        how far the mirror is, what was put aside and why, try it again
  siem install-templates                    index templates and retention into the SIEM
  kill engage|release --site S --key FILE... [--reason TEXT]
  kill list
  join-token --site S                       let one new agent in

Which controller: --data DIR, or --url, --token-file and --ca (or REFLEX_DATA, REFLEX_URL, REFLEX_TOKEN_FILE, REFLEX_CA).
--json prints what programs read.`;

type Outcome = { readonly text: string; readonly exitCode: number };
const done = (text: string): Outcome => ({ text, exitCode: 0 });

const commands: Readonly<Record<string, (args: Arguments) => Promise<Outcome> | Outcome>> = {
  "keys new": (args) => done(keysNew(args, new Date())),
  "policy check": (args) => done(policyCheck(args)),
  "policy test": (args) => {
    const { text, failed } = policyTest(args, new Date());
    return { text, exitCode: failed === 0 ? 0 : 1 };
  },
  "bundle sign": (args) => done(bundleSign(args, new Date())),
  "bundle publish": async (args) => done(await bundlePublish(args, clientOf(args))),
  agents: async (args) => done(await agentsList(args, clientOf(args))),
  "decisions list": async (args) => done(await decisionsList(args, clientOf(args))),
  "decisions show": async (args) => done(await decisionsShow(args, () => clientOf(args))),
  "decisions replay": async (args) => {
    const { text, same } = await decisionsReplay(args, () => clientOf(args));
    return { text, exitCode: same ? 0 : 1 };
  },
  leases: async (args) => done(await leasesList(args, clientOf(args))),
  "leases undo": (args) => leaseOrder(args, clientOf(args), "undo"),
  "leases extend": (args) => leaseExtend(args, clientOf(args)),
  "leases hand-over": (args) => leaseOrder(args, clientOf(args), "hand-over"),
  "leases mark-undone": (args) => leaseOrder(args, clientOf(args), "mark-undone"),
  "connectors reconcile": (args) => connectorReconcile(args, clientOf(args)),
  orders: async (args) => done(await ordersList(args, clientOf(args))),
  "dead-letters": async (args) => done(await deadLettersList(args, clientOf(args))),
  "siem status": async (args) => done(await siemStatus(args, clientOf(args))),
  "siem dead-letters": async (args) => done(await siemDeadLetters(args, clientOf(args))),
  "siem retry": async (args) => done(await siemRetry(clientOf(args))),
  "siem install-templates": async (args) => done(await siemInstall(clientOf(args))),
  "kill engage": async (args) => done(await killSwitch(args, clientOf(args), "engaged", new Date())),
  "kill release": async (args) => done(await killSwitch(args, clientOf(args), "armed", new Date())),
  "kill list": async (args) => {
    const kills = await killList(clientOf(args));
    return done(
      args.flag("json")
        ? JSON.stringify(kills)
        : tableText(
            ["scope", "state", "epoch"],
            kills.map((kill) => [kill.scope, kill.state, String(kill.epoch)]),
          ),
    );
  },
  "join-token": async (args) => {
    const site = args.texts("site")[0];
    if (site === undefined) throw new UsageError("for which site? --site demo");
    const answer = await clientOf(args).post<{ join_token: string; expires_at: string }>("/v1/join-tokens", { site });
    return done(
      args.flag("json")
        ? JSON.stringify(answer)
        : `${answer.join_token}\n(for one agent at ${site}, until ${answer.expires_at})`,
    );
  },
};

const clientOf = (args: Arguments) => clientFrom(args, process.env);

const run = async (argv: readonly string[]): Promise<Outcome> => {
  const args = readArguments(argv);
  if (!args.ok) return { text: `${args.error}\n\n${usage}`, exitCode: 2 };
  if (args.value.flag("help") || args.value.words.length === 0) return done(usage);
  const [first = "", second = ""] = args.value.words;
  const command = commands[`${first} ${second}`] ?? commands[first];
  if (command === undefined) return { text: `no command "${args.value.words.join(" ")}"\n\n${usage}`, exitCode: 2 };
  try {
    return await command(args.value);
  } catch (error) {
    if (error instanceof UsageError) return { text: error.message, exitCode: 1 };
    // A file that is no JSON, a folder nobody may write to: a person needs the sentence, whoever mends this needs the stack.
    const text = error instanceof Error ? error.message : String(error);
    const stack = process.env["REFLEX_STACK"] === undefined || !(error instanceof Error) ? "" : `\n${error.stack}`;
    return { text: `reflexctl ${args.value.words.join(" ")}: ${text}${stack}`, exitCode: 1 };
  }
};

const outcome = await run(process.argv.slice(2));
(outcome.exitCode === 0 ? process.stdout : process.stderr).write(`${outcome.text}\n`);
process.exitCode = outcome.exitCode;
