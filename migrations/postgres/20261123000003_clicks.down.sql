DROP TABLE deployment_facts, click_rollup_adjustments, click_adjustments, rules_activations, rules_versions,
    click_quarantine, click_flags, click_rollups, click_heads, click_partitions, click_trackings;
