-- no-transaction
-- Parts of a phone number.
create index concurrently if not exists patients_phone_trigrams on patients using gin (phone_digits(phone) gin_trgm_ops);
