-- no-transaction
-- And the beginning of a phone number.
create index concurrently if not exists patients_phone_prefix on patients (phone_digits(phone) text_pattern_ops);
