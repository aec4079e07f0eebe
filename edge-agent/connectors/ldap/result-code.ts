/**
 * What a result code of RFC 4511 appendix A says about a modify that was answered with it. `changed`: a value we meant to take
 * away is not there, or one to add is: somebody else was quicker. `unknown`: a proxy may say it after the change was made.
 */
export type CodeMeaning = "refused" | "retry" | "changed" | "perhaps changed" | "missing" | "unknown";

const meanings: ReadonlyMap<number, CodeMeaning> = new Map<number, CodeMeaning>([
  [2, "refused"], // protocolError
  [7, "refused"], // authMethodNotSupported
  [8, "refused"], // strongerAuthRequired
  [10, "refused"], // referral: never followed, another server is another configuration
  [11, "refused"], // adminLimitExceeded
  [12, "refused"], // unavailableCriticalExtension
  [13, "refused"], // confidentialityRequired
  [16, "changed"], // noSuchAttribute
  [17, "refused"], // undefinedAttributeType
  [18, "refused"], // inappropriateMatching
  [19, "perhaps changed"], // constraintViolation: a second value of an attribute that holds one, or a rule of the directory
  [20, "changed"], // attributeOrValueExists
  [21, "refused"], // invalidAttributeSyntax
  [32, "missing"], // noSuchObject
  [33, "refused"], // aliasProblem
  [34, "refused"], // invalidDNSyntax
  [36, "refused"], // aliasDereferencingProblem
  [48, "refused"], // inappropriateAuthentication
  [49, "refused"], // invalidCredentials
  [50, "refused"], // insufficientAccessRights
  [51, "retry"], // busy
  [52, "retry"], // unavailable
  [53, "refused"], // unwillingToPerform
  [54, "refused"], // loopDetect
  [64, "refused"], // namingViolation
  [65, "refused"], // objectClassViolation
  [67, "refused"], // notAllowedOnRDN
  [69, "refused"], // objectClassModsProhibited
  [71, "refused"], // affectsMultipleDSAs
]);

export const meaningOf = (code: number): CodeMeaning => meanings.get(code) ?? "unknown";
