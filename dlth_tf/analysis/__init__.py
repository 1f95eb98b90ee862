"""Result tables, statistics, plots and HTML reports, from the files that runs write; needs no TensorFlow."""
