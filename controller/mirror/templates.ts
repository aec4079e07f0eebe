import actions from "./templates/actions.json" with { type: "json" };
import feedback from "./templates/feedback.json" with { type: "json" };
import retention from "./templates/retention.json" with { type: "json" };

/** Index templates by name; a higher version replaces what is installed. */
export const indexTemplates = { "logs-reflex.actions": actions, "logs-reflex.feedback": feedback } as const;

/** For OpenSearch's index state management, where that is present; elsewhere retention is the site's own. */
export const retentionPolicy = { name: "reflex-mirror", body: retention } as const;
