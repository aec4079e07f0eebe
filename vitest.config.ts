import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["{protocol,policies,edge-agent,controller,installers,test}/**/*.test.ts"],
    setupFiles: ["test/property-seed.ts"],
    exclude: ["**/node_modules/**", "controller/console/**"],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    pool: "forks",
    maxWorkers: 2,
    reporters: ["default"],
  },
});
