CREATE TABLE "siem_dead_letters" (
	"id" bigint PRIMARY KEY NOT NULL,
	"kind" text NOT NULL,
	"agent" text,
	"site" text,
	"incarnation" integer,
	"sequence" bigint,
	"stored_at" timestamp (3) with time zone NOT NULL,
	"body" text NOT NULL,
	"refused_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"reason" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "siem_mirrors" (
	"name" text PRIMARY KEY NOT NULL,
	"since" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "siem_outbox" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "siem_outbox_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"kind" text NOT NULL,
	"agent" text,
	"site" text,
	"incarnation" integer,
	"sequence" bigint,
	"stored_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"body" text NOT NULL
);
--> statement-breakpoint
CREATE INDEX "siem_outbox_kind" ON "siem_outbox" USING btree ("kind","id");