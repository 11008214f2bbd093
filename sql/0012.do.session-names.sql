-- Names a session of the console without opening it: what a session has made is shown again to that session alone.
-- Its id cannot serve, since that changes each time its operator proves again who it is.
ALTER TABLE console_sessions ADD COLUMN name uuid NOT NULL DEFAULT gen_random_uuid();
