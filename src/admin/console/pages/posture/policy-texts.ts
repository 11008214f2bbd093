import type { PolicyName, PolicyStage } from '../../../../policies/policy.ts';
import { type Message, msg } from '../../languages/translate.ts';

/** The texts of policies and their stages on pages. */

export const policyTitles: Readonly<Record<PolicyName, Message>> = {
  secret_age: msg('Secrets are at most {days} days old'),
  unused: msg('What is not used for {days} days is disabled'),
  no_new_secrets: msg('New clients have no secret'),
  keys_only: msg('No client has a secret'),
  no_reveal: msg('Secrets are not shown again'),
  networks_required: msg('Credentials are limited to networks'),
  owner_required: msg('Clients have an owner'),
};

/** The consequences of each policy while it is enforced. */
export const enforcementTexts: Readonly<Record<PolicyName, Message>> = {
  secret_age: msg(
    'Enforced: a rotation with a grace period is opened, and the owner is notified. The grace period is extended while a program uses the previous secret.',
  ),
  unused: msg('Enforced: what is disabled and unused cannot be enabled.'),
  no_new_secrets: msg('Enforced: no client with a secret can be registered or imported.'),
  keys_only: msg('Enforced: no client gets a secret that does not have one.'),
  no_reveal: msg('Enforced: no secret and no access key is shown again, and no copy of new ones is stored.'),
  networks_required: msg('Enforced: no client and no key that works alone is created, or loses its networks.'),
  owner_required: msg('Enforced: no client is registered without an owner, or loses it.'),
};

export const stageTitles: Readonly<Record<PolicyStage | 'off', Message>> = {
  off: msg('Off'),
  report: msg('Report'),
  warn: msg('Warn'),
  enforce: msg('Enforce'),
};
