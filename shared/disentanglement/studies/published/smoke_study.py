"""`test`: the reference's smoke test, two steps on dummy data. It has one model, whatever the number."""

from __future__ import annotations

from disentanglement.studies.published.study import published_study

BOOSTED_TREES, LOGISTIC_REGRESSION = "gradient_boosting_classifier", "logistic_regression_cv"

SMOKE_STUDY = published_study(
    "test",
    "A smoke test of the pipeline on dummy data",
    model={
        "dataset": "dummy_data",
        "objective": {"beta_vae": {"beta": 1}},
        "architecture": {"encoder": "test_encoder", "decoder": "test_decoder"},
        "optimizer": {"adam": {"learning_rate": 0.001, "epsilon": 0.001}},
        "batch_size": 2,
        "training_steps": 2,
    },
    metrics={
        "beta_vae": {"beta_vae_sklearn": {"batch_size": 10, "num_train": 100, "num_eval": 100}},
        "dci": {"dci": {"num_train": 100, "num_test": 100}},
        "downstream_task_boosted_trees": {
            "downstream_task": {"num_train": [100], "num_test": 100, "predictor": BOOSTED_TREES}
        },
        "downstream_task_logistic_regression": {
            "downstream_task": {"num_train": [100], "num_test": 100, "predictor": LOGISTIC_REGRESSION}
        },
        "factor_vae": {
            "factor_vae_score": {
                "num_variance_estimate": 100,
                "num_train": 1000,
                "num_eval": 100,
                "batch_size": 5,
                "prune_threshold": 0,
            }
        },
        "fairness": {"fairness": {"num_train": 100, "num_test_points_per_class": 100}},
        "irs": {"irs": {"num_train": 100}},
        "mig": {"mig": {"num_train": 100}},
        "modularity_explicitness": {"modularity_explicitness": {"num_train": 100, "num_test": 100}},
        "reduced_downstream_task": {
            "reduced_downstream_task": {"num_train": [100], "num_test": 100, "num_factors_to_remove": 1}
        },
        "sap_score": {"sap_score": {"num_train": 100, "num_test": 100}},
        "unsupervised": {"unsupervised_metrics": {"num_train": 100}},
    },
)
