import type { Condition, PresetName, Trust } from './trust.ts';

/**
 * Rules of the platforms: which claims of their tokens a trust must pin. Without them, others who use the same platform
 * could get a token that meets the conditions, because the platform is shared, or because names can be registered again.
 */
type Preset = {
  /** The issuer of the public platform, if there is one for everybody. */
  issuer?: string;
  isIssuer(issuer: string): boolean;
  /** Returns what is missing, as the end of a sentence that begins with "conditions:", or undefined. */
  lacks(conditions: readonly Condition[], issuer: string): string | undefined;
};

const isHttps = (issuer: string) => issuer.startsWith('https://');
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const digits = /^\d{1,30}$/;

/** Returns the values that a claim is limited to, or undefined if it is not limited to a list of them. */
function pinned(conditions: readonly Condition[], claim: string): readonly string[] | undefined {
  for (const { claim: name, equals, oneOf } of conditions) {
    if (name === claim || name === `/${claim}`) {
      if (equals !== undefined) return [equals];
      if (oneOf !== undefined) return oneOf;
    }
  }
  return undefined;
}

function isPinned(conditions: readonly Condition[], claim: string, form: RegExp): boolean {
  return pinned(conditions, claim)?.every((value) => form.test(value)) ?? false;
}

function prefixOf(conditions: readonly Condition[], claim: string): string | undefined {
  return conditions.find(({ claim: name, prefix }) => name === claim && prefix !== undefined)?.prefix;
}

const namespace = '/kubernetes.io/namespace';
const account = '/kubernetes.io/serviceaccount/name';

export const presets: Readonly<Record<PresetName, Preset>> = {
  github: {
    issuer: 'https://token.actions.githubusercontent.com',
    isIssuer: isHttps,
    lacks: (conditions) => {
      if (!isPinned(conditions, 'repository_id', digits)) {
        return 'a trust in GitHub needs `repository_id`, a number: a repository with the same name can be created again';
      }
      const ref = pinned(conditions, 'ref') ?? [prefixOf(conditions, 'ref') ?? ''];
      const isRef = ref.every((each) => /^refs\/(heads|tags)\//.test(each));
      return pinned(conditions, 'environment') || isRef || isPinned(conditions, 'ref_type', /^(branch|tag)$/)
        ? undefined
        : 'a trust in GitHub needs `environment`, `ref` (refs/heads/… or refs/tags/…) or `ref_type` too';
    },
  },
  gitlab: {
    issuer: 'https://gitlab.com',
    isIssuer: isHttps,
    lacks: (conditions) => {
      if (!isPinned(conditions, 'project_id', digits)) {
        return 'a trust in GitLab needs `project_id`, a number: a project with the same path can be created again';
      }
      return isPinned(conditions, 'ref_protected', /^true$/) || isPinned(conditions, 'environment_protected', /^true$/)
        ? undefined
        : 'a trust in GitLab needs `ref_protected` or `environment_protected`, with the value true';
    },
  },
  kubernetes: {
    isIssuer: isHttps,
    lacks: (conditions) => {
      if (!pinned(conditions, namespace)) return `a trust in Kubernetes needs \`${namespace}\``;
      return isPinned(conditions, account, /^(?!default$)./)
        ? undefined
        : `a trust in Kubernetes needs \`${account}\`, which is not default: every pod without its own account has that one`;
    },
  },
  google: {
    issuer: 'https://accounts.google.com',
    isIssuer: (issuer) => issuer === 'https://accounts.google.com',
    lacks: (conditions) =>
      isPinned(conditions, 'sub', digits)
        ? undefined
        : 'a trust in Google needs `sub`, the numeric ID of the service account: an address can be given to another one',
  },
  aws: {
    isIssuer: (issuer) => /^https:\/\/[a-z0-9-]{8,64}\.tokens\.sts\.global\.api\.aws$/.test(issuer),
    lacks: (conditions) =>
      isPinned(conditions, 'sub', /^arn:aws[a-z-]*:(iam|sts)::\d{12}:[\w+=,.@/-]+$/)
        ? undefined
        : 'a trust in AWS needs `sub`, the ARN of a role, such as arn:aws:iam::123456789012:role/shop',
  },
  azure: {
    isIssuer: (issuer) =>
      /^https:\/\/(login\.microsoftonline\.com\/[0-9a-f-]{36}\/v2\.0|sts\.windows\.net\/[0-9a-f-]{36}\/)$/.test(issuer),
    lacks: (conditions, issuer) => {
      const tenant = /[0-9a-f-]{36}/.exec(issuer)?.[0];
      if (pinned(conditions, 'tid')?.some((each) => each !== tenant)) return '`tid` must be the tenant of the issuer';
      return isPinned(conditions, 'oid', uuid) && pinned(conditions, 'tid')
        ? undefined
        : 'a trust in Azure needs `tid`, and `oid`, the object ID of the managed identity or service principal';
    },
  },
  spiffe: {
    isIssuer: (issuer) => /^spiffe:\/\/[a-z0-9._-]{1,255}$/.test(issuer),
    lacks: (conditions, issuer) => {
      const under = `${issuer}/`;
      const values = pinned(conditions, 'sub') ?? [prefixOf(conditions, 'sub') ?? ''];
      return values.every((each) => each.startsWith(under) && each.length > under.length)
        ? undefined
        : `a trust in SPIFFE needs \`sub\`, a SPIFFE ID under ${under}`;
    },
  },
  custom: {
    isIssuer: isHttps,
    lacks: (conditions) => {
      const isOfCaller = ({ claim, equals, oneOf }: Condition) =>
        (equals !== undefined || oneOf !== undefined) && !/^\/?(iss|aud|exp|iat|nbf|jti|azp)$/.test(claim);
      return conditions.some(isOfCaller)
        ? undefined
        : 'at least one claim that says who calls must have certain values';
    },
  },
};

/** Returns the rules for a trust. Those of a public platform apply to its issuer, also if the trust declares another preset. */
export function presetFor({ preset, issuer }: Pick<Trust, 'preset' | 'issuer'>): Preset {
  const shared = (['github', 'gitlab', 'google'] as const).find((name) => presets[name].issuer === issuer);
  const cloud = (['aws', 'azure', 'spiffe'] as const).find((name) => presets[name].isIssuer(issuer));
  return presets[shared ?? cloud ?? preset];
}
