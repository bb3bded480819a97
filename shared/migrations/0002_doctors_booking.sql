-- A doctor who can log in, and whose slots have a length. Each table is altered in a migration of its own: the lock that it
-- takes keeps everybody out, and must not be held while the next table is waited for.

-- Who a doctor is at the identity provider: what its tokens hold as their subject. Null: nobody logs in as them. Unique,
-- because a subject is one person. There are never many doctors: to look through them and to index them takes no time.
alter table doctors
    add column subject text,
    add constraint doctors_subject_unique unique (subject),
    add constraint doctors_subject_length check (char_length(subject) between 1 and 255),
    -- How long a visit is unless somebody says otherwise: the length of the slots that are offered.
    add column slot_minutes integer not null default 30,
    add constraint doctors_slot_minutes_range check (slot_minutes between 5 and 480);
