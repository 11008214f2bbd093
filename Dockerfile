# The classic builder is enough for this file: nothing here needs BuildKit.
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS build
# Where a private registry must be used; unset, npm asks its own.
ARG NPM_CONFIG_REGISTRY
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json tsconfig.library.json ./
COPY deploy/build-program.ts deploy/
COPY src src
RUN npm run build

# By itself, so that a change of the sources leaves this layer as it is.
FROM ${NODE_IMAGE} AS dependencies
ARG NPM_CONFIG_REGISTRY
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund
# What the image contains, for scanners: CycloneDX.
RUN npm sbom --package-lock-only --omit=dev --sbom-format=cyclonedx >sbom.cdx.json

FROM ${NODE_IMAGE}
ENV NODE_ENV=production KEYTURN_DATA_DIR=/data
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY --from=dependencies /app/sbom.cdx.json ./
COPY --from=build /app/dist dist
COPY sql sql
COPY package.json LICENSE ./
RUN mkdir /data && chown node:node /data
USER node
# 4002 is meant for the portal, which is off unless KEYTURN_PORTAL_PORT is set.
EXPOSE 4000 4001 4002
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "dist/main.js", "health"]
ENTRYPOINT ["node", "dist/main.js"]
CMD ["start"]
