-- no-transaction
-- A subject is one patient. Built while others write, as every index on a table that grows: such a statement stands alone in
-- its file. What an interrupted attempt left of it is dropped before the next one (`shared::migrations`).
create unique index concurrently if not exists patients_subject_unique on patients (subject);
