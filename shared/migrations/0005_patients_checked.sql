-- Looks at every row, while others go on reading and writing.
alter table patients validate constraint patients_subject_length;
