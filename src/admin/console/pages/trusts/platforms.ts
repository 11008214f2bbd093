import type { PresetName } from '../../../../trusts/trust.ts';
import { type Message, msg } from '../../languages/translate.ts';

/** The proposals of the form of a trust for a platform. */
type Platform = {
  name: Message;
  /** An example of the issuer, if each customer of the platform has its own. */
  issuer?: string;
  /** Conditions to fill in, one per line. */
  conditions: string;
  /** How to find the values. */
  hint: Message;
};

export const platforms: Readonly<Record<PresetName, Platform>> = {
  github: {
    name: msg('GitHub Actions'),
    conditions: 'repository_id=\nenvironment=production',
    hint: msg('The number of a repository is the result of: gh api repos/OWNER/NAME --jq .id'),
  },
  gitlab: {
    name: msg('GitLab CI/CD'),
    conditions: 'project_id=\nref_protected=true',
    hint: msg('The number of a project is on its page in GitLab.'),
  },
  kubernetes: {
    name: msg('Kubernetes'),
    issuer: 'https://kubernetes.default.svc.cluster.local',
    conditions: '/kubernetes.io/namespace=\n/kubernetes.io/serviceaccount/name=',
    hint: msg('The issuer is the result of: kubectl get --raw /.well-known/openid-configuration'),
  },
  google: {
    name: msg('Google Cloud'),
    conditions: 'sub=',
    hint: msg('The value of sub is the numeric unique ID of the service account.'),
  },
  aws: {
    name: msg('AWS'),
    issuer: 'https://….tokens.sts.global.api.aws',
    conditions: 'sub=',
    hint: msg('The value of sub is the ARN of the role, such as arn:aws:iam::123456789012:role/shop.'),
  },
  azure: {
    name: msg('Azure'),
    issuer: 'https://login.microsoftonline.com/TENANT/v2.0',
    conditions: 'tid=\noid=',
    hint: msg('The value of oid is the object ID of the managed identity, and that of tid the ID of the tenant.'),
  },
  spiffe: {
    name: msg('SPIFFE'),
    issuer: 'spiffe://example.org',
    conditions: 'sub=',
    hint: msg('The value of sub is the SPIFFE ID of the workload.'),
  },
  custom: {
    name: msg('Another issuer'),
    issuer: 'https://login.example.com',
    conditions: 'sub=',
    hint: msg('At least one claim that says who calls must have certain values.'),
  },
};
