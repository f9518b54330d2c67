use super::*;

#[test]
fn quotas_add_up_and_the_first_has_most() {
    for (items, total) in [(1, 7), (3, 100), (2_000, 999_000), (100_000, 190_000)] {
        for spread in [Spread::new(items, total), Spread::new(items, total).with_first(total / 4)] {
            let spread = if items == 1 { Spread::new(items, total) } else { spread };
            let chunks: Vec<Chunk> = spread.chunks(1_000).collect();
            assert_eq!(chunks.iter().map(|chunk| chunk.rows).sum::<u64>(), total, "{spread:?}");
            let quotas = chunks.iter().flat_map(|chunk| &chunk.quotas);
            let most = quotas.map(|quota| i64::from(*quota)).max();
            assert_eq!(most, Some(spread.most().cast_signed()), "{spread:?}");
        }
    }
}

#[test]
fn nobody_comes_twice_before_all_have_come() {
    for people in [10, 104_729, 7_919 * 20, 200_000] {
        let stride = stride(people);
        let mut seen = vec![false; people as usize];
        for place in 0..i64::from(people) {
            let person = (place * stride % i64::from(people)).unsigned_abs() as usize;
            assert!(!std::mem::replace(&mut seen[person], true), "{people}");
        }
    }
}
