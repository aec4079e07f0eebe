// The process it runs in.
export const environment = process.env;
export const folder = __dirname;
export const loaded = require("fs");
export const buffer = Buffer.from("x");
export const everything = global;
export const here = import.meta.dirname;
