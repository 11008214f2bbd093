-- Sets the passwords of the roles that migrate and serve, from the environment (psql 15 or later). Run it after
-- roles.sql, with KEYTURN_MIGRATE_PASSWORD and KEYTURN_SERVE_PASSWORD set:
--   psql -v ON_ERROR_STOP=1 -f deploy/postgres/passwords.sql "$ADMIN_URL"
\getenv migrate_password KEYTURN_MIGRATE_PASSWORD
\getenv serve_password KEYTURN_SERVE_PASSWORD
ALTER ROLE keyturn_migrate PASSWORD :'migrate_password';
ALTER ROLE keyturn_serve PASSWORD :'serve_password';
