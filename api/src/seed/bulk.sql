-- Open gonggus for load runs: ids $1 with their numbers $2, owned by the influencers $3 in turn.
-- Locks only the new rows; each tells the edges of itself.
INSERT INTO gonggus (id, influencer_id, title, description, original_price, gonggu_price,
                     open_at, close_at, external_url, created_at)
SELECT new.id,
       ($3::uuid[])[1 + new.number % cardinality($3::uuid[])],
       '부하 시험 공구 ' || new.number,
       '',
       10000 + new.number % 90000,
       9000 + new.number % 90000,
       now() - interval '1 day',
       now() + interval '1 year',
       'https://example.com/load/' || new.number,
       now() - interval '1 day'
FROM unnest($1::uuid[], $2::int[]) AS new (id, number)
ON CONFLICT (id) DO NOTHING
