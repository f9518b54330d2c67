//! The demo data itself. Names are roles; shops are `example.com`.

/// E-mail, nickname, role.
pub(super) const ACCOUNTS: [(&str, &str, &str); 9] = [
    ("demo-admin@gonggumoa.example", "데모 관리자", "admin"),
    ("demo-influencer-1@gonggumoa.example", "데모 인플루언서 1", "influencer"),
    ("demo-influencer-2@gonggumoa.example", "데모 인플루언서 2", "influencer"),
    ("demo-influencer-3@gonggumoa.example", "데모 인플루언서 3", "influencer"),
    ("demo-buyer-1@gonggumoa.example", "데모 구매자 1", "buyer"),
    ("demo-buyer-2@gonggumoa.example", "데모 구매자 2", "buyer"),
    ("demo-buyer-3@gonggumoa.example", "데모 구매자 3", "buyer"),
    ("demo-buyer-4@gonggumoa.example", "데모 구매자 4", "buyer"),
    ("demo-buyer-5@gonggumoa.example", "데모 구매자 5", "buyer"),
];

/// Parents with their children, in display order.
pub(super) const CATEGORIES: [(&str, &[&str]); 4] = [
    ("기혼/가정", &["육아/키즈", "주방/생활", "인테리어"]),
    ("뷰티/패션", &["스킨케어", "의류", "잡화"]),
    ("식품/건강", &["간편식", "건강식품", "신선식품"]),
    ("취미/여가", &["캠핑", "운동", "반려동물"]),
];

/// Where a demo gonggu stands, as days from now to its opening and closing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stands {
    /// Not open yet.
    Scheduled(i64, i64),
    /// Open.
    Active(i64, i64),
    /// Over.
    Closed(i64, i64),
}

/// One demo gonggu.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gonggu {
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    pub(super) original_price: i32,
    pub(super) gonggu_price: i32,
    pub(super) shop: &'static str,
    pub(super) categories: &'static [&'static str],
    pub(super) stands: Stands,
}

macro_rules! gonggu {
    ($title:literal, $description:literal, $original:literal -> $price:literal, $shop:literal, $categories:expr, $stands:expr) => {
        Gonggu {
            title: $title,
            description: $description,
            original_price: $original,
            gonggu_price: $price,
            shop: $shop,
            categories: &$categories,
            stands: $stands,
        }
    };
}

use Stands::{Active, Closed, Scheduled};

pub(super) const GONGGUS: [Gonggu; 12] = [
    gonggu!("유기농 아기 물티슈 20팩", "두툼한 엠보싱, 캡형 70매 20팩 구성입니다.", 39_800 -> 25_900,
        "https://example.com/shop/baby-wipes?option=20", ["육아/키즈", "주방/생활"], Active(-2, 5)),
    gonggu!("3중 바닥 스테인리스 냄비 세트", "인덕션 사용 가능, 16·18·20cm 3종 세트.", 189_000 -> 119_000,
        "https://example.com/shop/pots", ["주방/생활"], Active(-1, 6)),
    gonggu!("저자극 수분 크림 50ml 1+1", "민감한 피부를 위한 무향 수분 크림.", 42_000 -> 27_300,
        "https://example.com/shop/cream", ["스킨케어"], Active(-3, 2)),
    gonggu!("국내산 한우 사골 곰탕 10팩", "300g 소포장, 냉동 배송.", 45_000 -> 32_900,
        "https://example.com/shop/gomtang#review", ["간편식", "신선식품"], Active(-1, 9)),
    gonggu!("4인용 원터치 텐트", "1분 설치, 방수 3,000mm 플라이 포함.", 210_000 -> 149_000,
        "https://example.com/shop/tent", ["캠핑"], Active(-4, 10)),
    gonggu!("강아지 저알러지 사료 5kg", "연어와 고구마만 담은 소형견 사료.", 68_000 -> 52_000,
        "https://example.com/shop/dog-food", ["반려동물"], Active(-2, 1)),
    gonggu!("어린이 홍삼 스틱 30포", "하루 한 포, 무설탕 배 맛.", 55_000 -> 38_500,
        "https://example.com/shop/red-ginseng", ["건강식품", "육아/키즈"], Scheduled(1, 8)),
    gonggu!("린넨 여름 커튼 2장", "생활 방수, 빛을 부드럽게 거르는 린넨 커튼.", 79_000 -> 55_300,
        "https://example.com/shop/curtain", ["인테리어"], Scheduled(3, 10)),
    gonggu!("데일리 크로스백", "가볍고 수납이 많은 나일론 가방.", 59_000 -> 41_300,
        "https://example.com/shop/bag", ["잡화"], Scheduled(5, 12)),
    gonggu!("홈트 요가 매트 10mm", "미끄럼 방지 TPE, 전용 가방 포함.", 36_000 -> 23_400,
        "https://example.com/shop/yoga-mat", ["운동"], Closed(-14, -3)),
    gonggu!("베이직 코튼 티셔츠 3팩", "비침 없는 20수 코튼, 세 가지 색.", 47_700 -> 29_900,
        "https://example.com/shop/t-shirt", ["의류"], Closed(-20, -10)),
    gonggu!("아기 원목 블록 100조각", "무독성 페인트, 정리함 포함.", 64_000 -> 45_000,
        "https://example.com/shop/blocks", ["육아/키즈"], Closed(-9, -1)),
];
