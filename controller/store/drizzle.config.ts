import { defineConfig } from "drizzle-kit";

// For `drizzle-kit generate` while developing; at run time the files below `migrations` are applied by migrate.ts.
export default defineConfig({
  dialect: "postgresql",
  schema: "./store/schema.ts",
  out: "./store/migrations",
});
