CREATE TABLE "orders" (
	"order_id" text PRIMARY KEY NOT NULL,
	"agent" text NOT NULL,
	"site" text NOT NULL,
	"kind" text NOT NULL,
	"command_id" text,
	"connector" text,
	"ttl_seconds" integer,
	"by" text NOT NULL,
	"reason" text NOT NULL,
	"issued_at" timestamp (3) with time zone NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"state" text NOT NULL,
	"answered_at" timestamp (3) with time zone,
	"code" text,
	"detail" text
);
--> statement-breakpoint
CREATE INDEX "orders_issued_at" ON "orders" USING btree ("issued_at","order_id");--> statement-breakpoint
CREATE INDEX "orders_command" ON "orders" USING btree ("command_id");