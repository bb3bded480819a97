-- no-transaction
-- Pages of a search go on from (full_name, id).
create index concurrently if not exists patients_by_name on patients (full_name, id);
