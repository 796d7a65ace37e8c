# Prints design.tsv: name, value. Run in this folder: Rscript design.R > design.tsv (R 4.2.2, stats only).
say <- function(name, value) cat(sprintf("%s\t%.12g\n", name, as.numeric(value)))
cat("name\tvalue\n")

size <- function(delta, sd, power) power.t.test(delta = delta, sd = sd, power = power, strict = TRUE, tol = 1e-10)$n
for (delta in c(0.1, 0.171, 0.3)) for (sd in c(0.15, 0.257, 0.4)) for (power in c(0.8, 0.9))
  say(sprintf("n|%g|%g|%g", delta, sd, power), size(delta, sd, power))
for (n in c(12, 30)) say(sprintf("power|0.171|0.257|%g", n),
                         power.t.test(n = n, delta = 0.171, sd = 0.257, strict = TRUE)$power)

# Blinded: the arm column is not used.
patients <- read.csv("../../golden/patients.csv")
interim <- function(prefix, fit, delta = 0.171, power = 0.8, dropout = 0.1) {
  s <- summary(fit)$sigma; df <- fit$df.residual; n <- nobs(fit)
  taken <- delta^2 * n / (4 * (n - 1))
  squares <- s^2 * c(1, df / qchisq(c(.975, .025), df))
  ends <- c("", "_low", "_high")
  say(paste0(prefix, ".df"), df)
  for (k in 1:3) {
    say(paste0(prefix, ".lumped.sd", ends[k]), sqrt(squares[k]))
    say(paste0(prefix, ".lumped.per_arm", ends[k]), ceiling(size(delta, sqrt(squares[k]), power) / (1 - dropout)))
    say(paste0(prefix, ".adjusted.sd", ends[k]), sqrt(squares[k] - taken))
    say(paste0(prefix, ".adjusted.per_arm", ends[k]),
        ceiling(size(delta, sqrt(squares[k] - taken), power) / (1 - dropout)))
  }
}
interim("plain", lm(tbr_max_followup ~ tbr_max_baseline, patients))
interim("strata", lm(tbr_max_followup ~ tbr_max_baseline + site, patients))
