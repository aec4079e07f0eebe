// The network.
export const answer = fetch("https://example.org");
export const socket = new WebSocket("wss://example.org");
export const request = new Request("https://example.org");
export const address = new URL("https://example.org");
