# Prints events.tsv: name, value. Run in this folder: Rscript events.R > events.tsv
# R 4.2.2, survival 3.5-3, cmprsk 2.2-11, etm 1.1.1. Code 2 competes; tied times, and some of day 0.
suppressMessages({library(survival); library(cmprsk); library(etm)})
say <- function(name, value) cat(sprintf("%s\t%.12g\n", name, as.numeric(value)))
cat("name\tvalue\n")
d <- read.csv("events.csv")
d$active <- as.numeric(d$arm == "active")
# Packages differ in what they do with day 0; a constant added to every time changes none of these estimates.
d$later <- d$time_years + 1
d$cause <- factor(d$event, 0:2, c("none", "event", "competing"))

times <- c(0, 1, 2)
gray <- cuminc(d$later, d$event, d$arm)
for (arm in c("active", "control")) {
  one <- summary(survfit(Surv(later, cause) ~ 1, d[d$arm == arm, ]), times = times + 1, extend = TRUE)
  x <- d[d$arm == arm, ]
  spread <- etmCIF(Surv(later, event != 0) ~ 1, x, etype = event)
  for (k in seq_along(times)) for (cause in 1:2) {
    name <- sprintf("aj.%s.%g.%d", arm, times[k], cause)
    say(name, one$pstate[k, cause + 1])
    gray_value <- timepoints(gray[paste(arm, cause)], times[k] + 1)$est
    stopifnot(abs(gray_value - one$pstate[k, cause + 1]) < 1e-9)
    se <- summary(spread)[[1]][[paste("CIF", cause)]]
    say(paste0(name, ".var"), se$var[max(which(se$time <= times[k] + 1))])
  }
}

# Cause-specific: code 2 censors.
d$one <- as.numeric(d$event == 1)
km <- summary(survfit(Surv(later, one) ~ arm, d), times = times + 1, extend = TRUE)
for (k in seq_along(km$surv)) {
  name <- sprintf("km.%s.%g", sub("arm=", "", km$strata[k]), km$time[k] - 1)
  say(name, km$surv[k]); say(paste0(name, ".se"), km$std.err[k])
}
say("log_rank", pchisq(survdiff(Surv(time_years, one) ~ active, d)$chisq, 1, lower.tail = FALSE))
say("log_rank.later", pchisq(survdiff(Surv(later, one) ~ active, d)$chisq, 1, lower.tail = FALSE))
# Firth's penalty, as in golden.R; the tied times are taken by Breslow's and by Efron's method.
for (method in c("breslow", "efron")) {
  penalised <- function(beta) {
    fit <- coxph(Surv(later, one) ~ active, d, init = beta, method = method, control = coxph.control(iter.max = 0))
    fit$loglik[2] - 0.5 * log(fit$var[1, 1])
  }
  best <- suppressWarnings(optimize(penalised, c(-8, 5), maximum = TRUE, tol = 1e-12))
  say(paste0("firth.", method), exp(best$maximum))
}
rate <- poisson.test(tapply(d$one, -d$active, sum), tapply(d$time_years, -d$active, sum))
say("rate_ratio", rate$estimate); say("rate_ratio.p", rate$p.value)

# Every exchange of the arms of the first 16: the exact two-sided p of the difference of the risks at two years.
few <- d[1:16, ]
risk <- function(rows, competing) {
  x <- few[rows, ]
  moments <- sort(unique(x$later[x$later <= 3]))
  free <- 1
  total <- 0
  for (t in moments) {
    at_risk <- sum(x$later >= t)
    one <- sum(x$later == t & x$event == 1)
    other <- if (competing) sum(x$later == t & x$event == 2) else 0
    total <- total + free * one / at_risk
    free <- free * (1 - (one + other) / at_risk)
  }
  total
}
# The same with the follow-up of each arm kept: events are dealt to those whose follow-up reaches them.
# Follow-up beyond a participant's own event is drawn from the arm's censorings; at a tie the event comes first.
own <- function(competing, seen) {
  kind <- if (competing) few$event else ifelse(few$event == 2, 0, few$event)
  ahead <- lapply(seq_len(16), function(k) {
    if (kind[k] == 0) return(NULL)
    mine <- few$active == few$active[k]
    fit <- survfit(Surv(ifelse(kind > 0, few$later - 1e-6, few$later)[mine], (kind == 0)[mine]) ~ 1)
    left <- fit$n.event > 0
    time <- fit$time[left]
    share <- c(1, fit$surv[left])
    list(time = c(time, Inf), prob = c(-diff(share), tail(share, 1)) * (c(time, Inf) >= few$later[k]))
  })
  order_of <- order(few$later, few$event)
  falls <- order_of[kind[order_of] > 0 & few$later[order_of] <= 3]
  real <- few
  shares <- replicate(20000, {
    until <- real$later
    for (k in which(kind > 0)) until[k] <- sample(ahead[[k]]$time, 1, prob = ahead[[k]]$prob)
    time <- until
    code <- rep(0, 16)
    for (k in falls) {
      can <- which(code == 0 & until >= real$later[k])
      if (length(can)) {
        one <- can[sample.int(length(can), 1)]
        time[one] <- real$later[k]
        code[one] <- kind[k]
      }
    }
    few$later <<- time
    few$event <<- code
    risk(which(real$active == 1), competing) - risk(which(real$active == 0), competing)
  })
  few <<- real
  mean(abs(shares) >= abs(seen) - 1e-12)
}
set.seed(1)
for (competing in c(FALSE, TRUE)) {
  difference <- function(rows) risk(rows, competing) - risk(setdiff(1:16, rows), competing)
  seen <- difference(which(few$active == 1))
  all <- combn(16, 8, difference)
  name <- if (competing) "exchange.aj" else "exchange.km"
  say(paste0(name, ".difference"), seen)
  say(paste0(name, ".p"), mean(abs(all) >= abs(seen) - 1e-12))
  say(paste0(name, ".own"), own(competing, seen))
}
