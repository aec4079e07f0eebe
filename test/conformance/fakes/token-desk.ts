/** Issues access tokens and knows which of them still count: what every faked sign-in shares. */
export type TokenDesk = {
  readonly issue: () => string;
  /** The value of an Authorization header, `Bearer <token>`. */
  readonly accepts: (authorization: string | undefined) => boolean;
  readonly expireAll: () => void;
};

export const createTokenDesk = (prefix: string): TokenDesk => {
  let issued = 0;
  let valid = new Set<string>();
  return {
    issue: () => {
      issued += 1;
      const token = `${prefix}.${issued}`;
      valid.add(token);
      return token;
    },
    accepts: (authorization) => {
      const match = /^Bearer (\S+)$/i.exec(authorization ?? "");
      return match !== null && valid.has(match[1] ?? "");
    },
    expireAll: () => {
      valid = new Set();
    },
  };
};

/** `Basic <base64>` of a user and a password, as clients send it. */
export const basicAuthorization = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`, "utf8").toString("base64")}`;
