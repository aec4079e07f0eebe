/**
 * exp and log from + - * / alone. IEEE 754 fixes those four to the last bit; it does not fix Math.exp and Math.log, which
 * differ between engines and versions, and a replayed score must equal its token on every node.
 */

/** Rounded to 1e-6; every number that goes into a token passes here. Never -0. */
export const round6 = (value: number): number => Math.round(value * 1e6) / 1e6 + 0;

const ln2High = 0.6931471803691238; // fdlibm's split of ln 2: high part exact in 33 bits
const ln2Low = 1.9082149292705877e-10;

/** e^x for |x| <= 700; error below 1e-15 relative, far inside the rounding to 1e-6. */
export const exp = (x: number): number => {
  const halvings = Math.round(x / (ln2High + ln2Low));
  const rest = x - halvings * ln2High - halvings * ln2Low;
  let sum = 1;
  // |rest| <= 0.35, so 14 terms of the series reach the last bit.
  for (let term = 14; term >= 1; term -= 1) sum = 1 + (rest * sum) / term;
  return scaleByPowerOfTwo(sum, halvings);
};

const oddReciprocals: readonly number[] = Array.from({ length: 11 }, (_, term) => 1 / (2 * term + 1));

/** Natural logarithm of x > 0. */
export const log = (x: number): number => {
  if (x === 1) return 0;
  let mantissa = x;
  let exponent = 0;
  while (mantissa > Math.SQRT2) {
    mantissa /= 2;
    exponent += 1;
  }
  while (mantissa < Math.SQRT1_2) {
    mantissa *= 2;
    exponent -= 1;
  }
  // log m = 2 artanh((m - 1) / (m + 1)); |ratio| <= 0.172, so 11 odd terms reach the last bit.
  const ratio = (mantissa - 1) / (mantissa + 1);
  const square = ratio * ratio;
  let sum = 0;
  for (let term = oddReciprocals.length - 1; term >= 0; term -= 1)
    sum = sum * square + (oddReciprocals[term] as number);
  return 2 * ratio * sum + exponent * ln2High + exponent * ln2Low;
};

export const logit = (p: number): number => log(p / (1 - p));
export const logistic = (logOdds: number): number => 1 / (1 + exp(-logOdds));

const scaleByPowerOfTwo = (value: number, power: number): number => {
  let scaled = value;
  for (let left = power; left > 0; left -= 1) scaled *= 2;
  for (let left = power; left < 0; left += 1) scaled /= 2;
  return scaled;
};
