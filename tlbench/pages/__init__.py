"""What people look at: figures and pages made from results. No model, no video."""
