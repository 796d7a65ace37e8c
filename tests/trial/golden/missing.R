# Prints missing.tsv: name, value. Run in this folder: Rscript missing.R > missing.tsv
# R 4.2.2, mice 3.15.0, coin 1.4-2.
suppressMessages({library(mice); library(coin)})
say <- function(name, value) cat(sprintf("%s\t%.12g\n", name, as.numeric(value)))
cat("name\tvalue\n")

table <- read.csv("missing.csv")
table$active <- as.numeric(table$arm == "active")
table$b <- table$baseline - mean(table$baseline)
report <- function(prefix, fits) {
  row <- summary(pool(fits)); row <- row[row$term == "active", ]
  say(paste0(prefix, ".estimate"), row$estimate); say(paste0(prefix, ".se"), row$std.error)
  say(paste0(prefix, ".df"), row$df)
}
complete <- summary(lm(followup ~ b + active, table))$coefficients["active", ]
say("complete.estimate", complete[1]); say("complete.se", complete[2])

# Chained equations with the other vessels; many imputations, so that only the method's own definition is compared.
impute <- function(columns, seed) {
  mice(table[, columns], m = 1500, method = "norm", maxit = 20, printFlag = FALSE, seed = seed)
}
with_others <- impute(c("b", "active", "other_baseline", "other_followup", "followup"), 1)
report("others", with(with_others, lm(followup ~ b + active)))
table$south <- as.numeric(table$site == "south")
strata <- impute(c("b", "active", "south", "other_baseline", "other_followup", "followup"), 2)
report("others_strata", with(strata, lm(followup ~ b + active + south)))

# Reference-based imputation from first principles: parameters from the posterior given what was seen, then the
# conditional distribution of follow-up given baseline of the reference.
set.seed(3)
m <- 6000
seen <- !is.na(table$followup)
first <- lm(followup ~ active + b, table[seen, ])
baseline <- lm(b ~ active, table)
draw <- function(fit) {
  s <- summary(fit)
  sigma <- s$sigma * sqrt(fit$df.residual / rchisq(1, fit$df.residual))
  list(coef = coef(fit) + sigma * drop(t(chol(s$cov.unscaled)) %*% rnorm(length(coef(fit)))), sigma = sigma)
}
for (rule in c("jump", "copy")) {
  estimates <- variances <- numeric(m)
  for (k in seq_len(m)) {
    y <- draw(first); x <- draw(baseline)
    mu_b <- x$coef[1] + x$coef[2] * 0:1
    mu_f <- y$coef[1] + y$coef[2] * 0:1 + y$coef[3] * mu_b
    own <- if (rule == "jump") table$active else 0
    mean_of <- mu_f[1] + y$coef[3] * (table$b - mu_b[1 + own])
    filled <- table$followup
    filled[!seen] <- (mean_of + rnorm(nrow(table), 0, y$sigma))[!seen]
    row <- summary(lm(filled ~ active + b, table))$coefficients["active", ]
    estimates[k] <- row[1]; variances[k] <- row[2]^2
  }
  between <- var(estimates)
  say(paste0(rule, ".estimate"), mean(estimates))
  say(paste0(rule, ".se"), sqrt(mean(variances) + (1 + 1 / m) * between))
  say(paste0(rule, ".between"), between)
}

# The composite: those with no active section left rank best.
used <- table[!is.na(table$left), ]
used$value <- ifelse(used$left == 0, -1, used$refound)
used$g <- factor(used$arm); used$block <- factor(used$site)
say("rank.p", pvalue(wilcox_test(value ~ g, used, distribution = "exact")))
within <- function(y) ave(rank(y), FUN = function(r) r / (length(r) + 1))
elteren <- function(data) trafo(data, numeric_trafo = within, block = used$block)
say("elteren.z", statistic(independence_test(value ~ g | block, used, ytrafo = elteren)))
set.seed(4)
say("elteren.p", pvalue(independence_test(value ~ g | block, used, ytrafo = elteren,
                                          distribution = approximate(nresample = 200000))))
centred <- function(y) { r <- within(y); r - mean(r) }
used$ry <- ave(used$value, used$block, FUN = centred); used$rb <- ave(used$active_baseline, used$block, FUN = centred)
used$rest <- used$ry - used$rb * sum(used$ry * used$rb) / sum(used$rb^2)
say("quade.p", pvalue(independence_test(rest ~ g | block, used, distribution = approximate(nresample = 200000))))
none <- used$left == 0
say("fisher.p", fisher.test(table(used$g, none))$p.value)
a <- used$value[used$active == 1]; c <- used$value[used$active == 0]
theta <- mean(outer(a, c, function(x, y) (x < y) + (x == y) / 2))
say("win", theta)
spread <- function(t) {
  more <- (length(a) + length(c)) / 2 - 1
  t * (1 - t) * (1 + more * (1 - t) / (2 - t) + more * t / (1 + t)) / (length(a) * length(c))
}
limit <- function(from, to) {
  uniroot(function(t) (t - theta)^2 - qnorm(.975)^2 * spread(t), c(from, to), tol = 1e-12)$root
}
say("win.low", limit(1e-9, theta)); say("win.high", limit(theta, 1 - 1e-9))
# Without ties, base R's exact test.
set.seed(5)
x <- round(rnorm(9), 3); y <- round(rnorm(7, .8), 3)
cat(sprintf("untied.%d\t%g\n", seq_along(c(x, y)), c(x, y)), sep = "")
say("untied.p", wilcox.test(x, y, exact = TRUE)$p.value)
