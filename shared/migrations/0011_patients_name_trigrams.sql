-- no-transaction
-- Parts of a name.
create index concurrently if not exists patients_name_trigrams on patients using gin (lower(full_name) gin_trgm_ops);
