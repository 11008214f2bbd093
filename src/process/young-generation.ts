import { setFlagsFromString } from 'node:v8';

/*
 * A request leaves some kilobytes of garbage, and with V8's first, small young generation that is collected hundreds of times a second,
 * each time with what the requests under way hold. This lets it grow to its full size (16 MB, twice) the first time that it grows, and
 * not by doubling. Of V8's flags for this it is the one that counts at run time too, so it needs no second start and no NODE_OPTIONS.
 */
setFlagsFromString('--semi-space-growth-factor=32');
