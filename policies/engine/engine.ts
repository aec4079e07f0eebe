/** `<engine name>/<semantics version>`: a change of result for any input is a new version, and old tokens name the old one. */
export const engine = "reflex/1";
