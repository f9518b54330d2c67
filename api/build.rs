//! A new migration makes a new binary: cargo cannot see what `sqlx::migrate!` reads.

fn main() {
    println!("cargo:rerun-if-changed=../migrations/postgres");
}
