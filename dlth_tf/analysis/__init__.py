"""Result tables and plots: reads what runs wrote, and needs no TensorFlow."""
