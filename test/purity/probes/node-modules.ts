// Disk, programs, sockets and the machine, through what Node brings along.
import { readFileSync } from "node:fs";
import { spawn } from "node:child_process";
import { connect } from "node:net";
import { hostname } from "node:os";
import { createHash } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { EventEmitter } from "events";

export const reached = [readFileSync, spawn, connect, hostname, createHash, DatabaseSync, EventEmitter];
