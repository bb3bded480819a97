-- The same for a patient. Of patients there are many: what is there already is looked at in a later migration, which lets
-- others read and write meanwhile, and the unique index is built beside them, too.
alter table patients
    add column subject text,
    add constraint patients_subject_length check (char_length(subject) between 1 and 255) not valid;
