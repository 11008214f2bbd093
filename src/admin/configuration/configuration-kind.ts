import type { z } from 'zod';
import type { Queryable } from '../../storage/database.ts';
import type { Called, InsideRequest, Route } from '../call-endpoint.ts';
import type { Operator } from '../operator-auth.ts';

/** Types of the documents of a configuration, and of the things of the server that they describe. */

export type Members = Record<string, unknown>;

/** Something that the server has. */
export type Thing = {
  /** The parameter of its path, such as a Client ID. */
  id: string;
  /** As the admin API shows it. */
  shown: Members;
  /** As a document, without members that have their default. */
  document: Members;
};

/** A kind of document. Its members are those of the admin API, except that they name other things instead of IDs. */
export type Kind = {
  name: string;
  /** Schema of a document, with the schemas of the admin API. */
  schema: z.ZodObject;
  /** Schema of the request body that changes such a thing. */
  patch: z.ZodObject;
  /** The values of members that a document leaves out, if they are not null or empty. */
  defaultsOf(document: Members): Members;
  /** Members that are left as they are if a document leaves them out, such as `status`. */
  kept?: readonly string[];
  /** Members that a document has but that are not compared. */
  ignored?: readonly string[];
  list: Route;
  query?: Members;
  /** Absent if none can be created. */
  create?: Route;
  /** The path of one of them. */
  path: `/${string}/{${string}}`;
  /** Whether `status` is changed by the endpoints `enable` and `disable` of the path. */
  hasActs?: boolean;
  /** Given if the server has exactly one for each organization, which can only be changed. */
  setting?: {
    label: string;
    /** @param members those that differ, with null for what is to have its default. */
    change(members: Members, thing: Thing, world: World): Promise<void>;
  };
  /** Returns the id of what the admin API shows; undefined if it is no thing of this kind. */
  idOf(shown: Members): string | undefined;
  /** Returns a thing as a document. */
  read(shown: Members, world: World): Promise<Members>;
  /**
   * Returns members of a document as members of a request body.
   * @param document the whole document, which says where the names of other things are looked up.
   */
  write(members: Members, world: World, document: Members): Promise<Members>;
  /** Returns those of the things that a document means. @throws {InvalidInput} if it names something unknown. */
  match(things: readonly Thing[], document: Members, world: World): Promise<Thing[]>;
};

/** Returns whether an operator may list things of a kind. All may list the others. */
export function maySee({ permissions }: Operator, kind: string): boolean {
  return kind !== 'identity_provider' || permissions.includes('contacts:manage');
}

/** A member that differs, with its values. Null stands for a value that is absent. */
export type FieldChange = { field: string; before: unknown; after: unknown };

/** Calls an endpoint of the admin API in the transaction. @param revision as in If-Match. */
export type Call = <Body = Members>(route: Route, request?: InsideRequest, revision?: string) => Promise<Called<Body>>;

/** The things of the server, as an operator sees them in one transaction, and the names that documents use for them. */
export type World = {
  call: Call;
  database: Queryable;
  operator: Operator;
  now: number;
  /** The organization of a document that names none. */
  home: string;
  kindOf(name: string): Kind;
  things(kind: Kind): Promise<readonly Thing[]>;
  toThing(kind: Kind, shown: Members): Promise<Thing | undefined>;
  /** Notes that something was created, changed or, with undefined, deleted. */
  note(kind: Kind, id: string, thing: Thing | undefined): void;
  /** Reads things of these kinds again when they are next asked for. */
  forget(...names: string[]): void;
  /** @throws {InvalidInput} if no organization, or more than one, has this external ID or name. */
  organizationId(name: unknown): Promise<string>;
  /** Returns the name for documents; undefined for the deployment itself. */
  organizationName(id: unknown): Promise<string | undefined>;
  /** @throws {InvalidInput} naming `owner`. */
  contactId(name: unknown, organization: unknown): Promise<string>;
  /** Returns the name for documents; undefined if the operator does not see the contact. */
  contactName(id: unknown): Promise<string | undefined>;
  /** Returns the Client ID of an integration. @throws {InvalidInput} naming `client`. */
  clientId(name: unknown, organization: unknown): Promise<string>;
  /** Returns the integration's name for documents, and its organization. */
  clientName(clientId: unknown): Promise<{ client: string; organization: string | undefined }>;
};
