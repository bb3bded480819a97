-- Patients are found by any part of a name or of a phone number, however that is punctuated. Trigrams serve parts of
-- three characters and more; the extension is trusted, like btree_gist.
create extension if not exists pg_trgm;

-- A phone number's digits, as they are indexed and searched for. No zero leads them: "030 1", "+49 30 1", "0049 30 1" and
-- "+49 (0)30 1" all have the part 301, whoever wrote them down.
create function phone_digits(phone text) returns text
language sql immutable parallel safe
return ltrim(regexp_replace(phone, '\(0\)|[^0-9]', '', 'g'), '0');
