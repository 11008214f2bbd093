/** Options of `clients import`. */
export type ImportOptions = {
  json?: true;
  check?: true;
  skipRefused?: true;
  resume?: true;
  freshSecrets?: true;
  acceptHashLike?: true;
  mapScope?: ReadonlyMap<string, string>;
  dropUnknownScopes?: true;
};
