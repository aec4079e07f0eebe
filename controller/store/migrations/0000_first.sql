CREATE TABLE "agent_events" (
	"agent" text NOT NULL,
	"site" text NOT NULL,
	"incarnation" integer NOT NULL,
	"sequence" bigint NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"level" text NOT NULL,
	"name" text NOT NULL,
	"code" text,
	"detail" text NOT NULL,
	CONSTRAINT "agent_events_agent_incarnation_sequence_pk" PRIMARY KEY("agent","incarnation","sequence")
);
--> statement-breakpoint
CREATE TABLE "agents" (
	"agent" text PRIMARY KEY NOT NULL,
	"site" text NOT NULL,
	"report_key" text NOT NULL,
	"incarnation" integer DEFAULT 1 NOT NULL,
	"acknowledged" bigint DEFAULT 0 NOT NULL,
	"enrolled_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"certificate_not_after" timestamp (3) with time zone,
	"revoked_at" timestamp (3) with time zone,
	"online" boolean DEFAULT false NOT NULL,
	"last_heard_at" timestamp (3) with time zone,
	"boot_id" text,
	"engine" text,
	"mode" text,
	"killed" boolean,
	"bundle_version" integer,
	"bundle_hash" text,
	"weights_version" integer,
	"weights_hash" text,
	"refused" jsonb,
	"heartbeat" jsonb
);
--> statement-breakpoint
CREATE TABLE "audit" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "audit_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"actor" text NOT NULL,
	"action" text NOT NULL,
	"subject" text NOT NULL,
	"detail" jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "command_steps" (
	"agent" text NOT NULL,
	"incarnation" integer NOT NULL,
	"sequence" bigint NOT NULL,
	"command_id" text NOT NULL,
	"state" text NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"code" text,
	"detail" text,
	CONSTRAINT "command_steps_agent_incarnation_sequence_pk" PRIMARY KEY("agent","incarnation","sequence")
);
--> statement-breakpoint
CREATE TABLE "commands" (
	"command_id" text PRIMARY KEY NOT NULL,
	"decision_id" text NOT NULL,
	"agent" text NOT NULL,
	"site" text NOT NULL,
	"incarnation" integer NOT NULL,
	"sequence" bigint NOT NULL,
	"action" text NOT NULL,
	"target_type" text NOT NULL,
	"target_value" text NOT NULL,
	"connector" text NOT NULL,
	"state" text NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"undo_at" timestamp (3) with time zone,
	"attempts" integer NOT NULL,
	"verified" boolean NOT NULL,
	"code" text,
	"detail" text,
	"command" jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "dead_letters" (
	"agent" text NOT NULL,
	"site" text NOT NULL,
	"incarnation" integer NOT NULL,
	"sequence" bigint NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"source" text NOT NULL,
	"code" text NOT NULL,
	"detail" text NOT NULL,
	"bytes" bigint NOT NULL,
	"sha256" text NOT NULL,
	CONSTRAINT "dead_letters_agent_incarnation_sequence_pk" PRIMARY KEY("agent","incarnation","sequence")
);
--> statement-breakpoint
CREATE TABLE "feedback" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "feedback_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"agent" text,
	"incarnation" integer,
	"sequence" bigint,
	"decision_id" text NOT NULL,
	"outcome" text NOT NULL,
	"verdict" text NOT NULL,
	"verdict_source" text NOT NULL,
	"analyst" text,
	"decided_at" timestamp (3) with time zone NOT NULL,
	"stored_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"body" jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "heads" (
	"site" text PRIMARY KEY NOT NULL,
	"sequence" bigint NOT NULL,
	"issued_at" timestamp (3) with time zone NOT NULL,
	"signed_sequence" bigint DEFAULT 0 NOT NULL,
	"envelope" text
);
--> statement-breakpoint
CREATE TABLE "join_tokens" (
	"hash" text PRIMARY KEY NOT NULL,
	"site" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"created_by" text NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"used_at" timestamp (3) with time zone,
	"used_by" text
);
--> statement-breakpoint
CREATE TABLE "kill_states" (
	"scope" text PRIMARY KEY NOT NULL,
	"site" text NOT NULL,
	"agent" text NOT NULL,
	"epoch" bigint NOT NULL,
	"state" text NOT NULL,
	"reason" text NOT NULL,
	"by" text NOT NULL,
	"issued_at" timestamp (3) with time zone NOT NULL,
	"stored_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"envelope" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "leaderships" (
	"name" text PRIMARY KEY NOT NULL,
	"holder" text NOT NULL,
	"token" bigint NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "quarantine" (
	"sha256" text PRIMARY KEY NOT NULL,
	"agent" text NOT NULL,
	"at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"code" text NOT NULL,
	"detail" text NOT NULL,
	"content" text NOT NULL,
	"seen" integer DEFAULT 1 NOT NULL
);
--> statement-breakpoint
CREATE TABLE "records" (
	"agent" text NOT NULL,
	"incarnation" integer NOT NULL,
	"sequence" bigint NOT NULL,
	"kind" text NOT NULL,
	"stored_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "records_agent_incarnation_sequence_pk" PRIMARY KEY("agent","incarnation","sequence")
);
--> statement-breakpoint
CREATE TABLE "releases" (
	"hash" text PRIMARY KEY NOT NULL,
	"kind" text NOT NULL,
	"version" integer NOT NULL,
	"sites" text[] NOT NULL,
	"status" text NOT NULL,
	"changelog" text NOT NULL,
	"envelope" "bytea" NOT NULL,
	"stored_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"stored_by" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "sites" (
	"site" text PRIMARY KEY NOT NULL,
	"bundle_hash" text,
	"weights_hash" text,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "tokens" (
	"decision_id" text PRIMARY KEY NOT NULL,
	"agent" text NOT NULL,
	"site" text NOT NULL,
	"incarnation" integer NOT NULL,
	"sequence" bigint NOT NULL,
	"hash" text NOT NULL,
	"previous" text NOT NULL,
	"decided_at" timestamp (3) with time zone NOT NULL,
	"verdict" text NOT NULL,
	"event_id" text NOT NULL,
	"score" double precision NOT NULL,
	"token" jsonb NOT NULL,
	"token_json" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "trusts" (
	"version" integer PRIMARY KEY NOT NULL,
	"envelope" text NOT NULL,
	"stored_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE INDEX "agent_events_at" ON "agent_events" USING btree ("at");--> statement-breakpoint
CREATE INDEX "agents_site" ON "agents" USING btree ("site");--> statement-breakpoint
CREATE INDEX "audit_at" ON "audit" USING btree ("at");--> statement-breakpoint
CREATE INDEX "command_steps_command" ON "command_steps" USING btree ("command_id");--> statement-breakpoint
CREATE INDEX "commands_decision" ON "commands" USING btree ("decision_id");--> statement-breakpoint
CREATE INDEX "commands_state" ON "commands" USING btree ("state","undo_at");--> statement-breakpoint
CREATE INDEX "commands_at" ON "commands" USING btree ("at","command_id");--> statement-breakpoint
CREATE INDEX "dead_letters_at" ON "dead_letters" USING btree ("at");--> statement-breakpoint
CREATE UNIQUE INDEX "feedback_report" ON "feedback" USING btree ("agent","incarnation","sequence");--> statement-breakpoint
CREATE INDEX "feedback_decision" ON "feedback" USING btree ("decision_id");--> statement-breakpoint
CREATE INDEX "feedback_stored_at" ON "feedback" USING btree ("stored_at");--> statement-breakpoint
CREATE INDEX "quarantine_agent" ON "quarantine" USING btree ("agent","at");--> statement-breakpoint
CREATE UNIQUE INDEX "releases_version" ON "releases" USING btree ("kind","version");--> statement-breakpoint
CREATE INDEX "tokens_chain" ON "tokens" USING btree ("agent","incarnation","sequence");--> statement-breakpoint
CREATE INDEX "tokens_decided_at" ON "tokens" USING btree ("decided_at","decision_id");--> statement-breakpoint
CREATE INDEX "tokens_verdict" ON "tokens" USING btree ("verdict","decided_at");--> statement-breakpoint
CREATE INDEX "tokens_event" ON "tokens" USING btree ("event_id");