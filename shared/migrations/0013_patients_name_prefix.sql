-- no-transaction
-- Two characters are no trigram: there the beginning of the name is searched, in any collation.
create index concurrently if not exists patients_name_prefix on patients (lower(full_name) text_pattern_ops);
