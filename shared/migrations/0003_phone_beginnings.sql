-- Two digits are no trigram either: there the beginning of the phone number is searched, as that of the name is.
create index patients_phone_prefix on patients (regexp_replace(phone, '[^0-9]', '', 'g') text_pattern_ops);
