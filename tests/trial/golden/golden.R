# Prints golden.tsv: name, value. Run in this folder: Rscript golden.R > golden.tsv
# R 4.2.2, lme4 1.1-31, lmerTest 3.1-3, pbkrtest 0.5.2, survival 3.5-3, psych 2.2.9, sandwich 3.0-2, mice 3.15.
suppressMessages({
  library(lme4); library(lmerTest); library(pbkrtest); library(survival); library(psych); library(sandwich)
})
say <- function(name, value) cat(sprintf("%s\t%.12g\n", name, as.numeric(value)))
cat("name\tvalue\n")

patients <- read.csv("patients.csv")
patients$active <- as.numeric(patients$arm == "active")
patients$y <- patients$tbr_max_followup
patients$b <- patients$tbr_max_baseline - mean(patients$tbr_max_baseline)

report <- function(prefix, fit, term = "active") {
  row <- summary(fit)$coefficients[term, ]
  limits <- confint(fit)[term, ]
  say(paste0(prefix, ".estimate"), row[1]); say(paste0(prefix, ".se"), row[2]); say(paste0(prefix, ".p"), row[4])
  say(paste0(prefix, ".low"), limits[1]); say(paste0(prefix, ".high"), limits[2])
}

plain <- lm(y ~ b + active, patients)
report("ancova", plain)
say("hc3.se", sqrt(vcovHC(plain, "HC3")["active", "active"]))
control <- coef(plain)[["(Intercept)"]]
difference <- coef(plain)[["active"]]
gradient <- 100 * c(-difference / control^2, 1 / control)
percent_se <- sqrt(gradient %*% vcov(plain)[c("(Intercept)", "active"), c("(Intercept)", "active")] %*% gradient)
say("percent.estimate", 100 * difference / control)
say("percent.low", 100 * difference / control - qt(.975, plain$df.residual) * percent_se)
say("percent.high", 100 * difference / control + qt(.975, plain$df.residual) * percent_se)

two <- vcov(plain)[c("(Intercept)", "active"), c("(Intercept)", "active")]
t2 <- qt(.975, plain$df.residual)^2
# Fieller: the ratios r for which difference - r x control is within t standard errors of zero.
a <- control^2 - t2 * two[1, 1]; m <- control * difference - t2 * two[1, 2]; z <- difference^2 - t2 * two[2, 2]
say("fieller.low", 100 * (m - sqrt(m^2 - a * z)) / a); say("fieller.high", 100 * (m + sqrt(m^2 - a * z)) / a)

# HC2 with Satterthwaite's degrees of freedom from each arm's residual variance.
X <- model.matrix(plain); H <- X %*% solve(crossprod(X), t(X)); M <- diag(nrow(X)) - H
w <- (X %*% solve(crossprod(X)))[, "active"] / sqrt(1 - diag(H))
n_arm <- table(patients$active)
v_arm <- tapply(resid(plain)^2, patients$active, sum) / (n_arm - 1 - n_arm / nrow(X))
omega <- diag(as.numeric(v_arm[as.character(patients$active)]))
A <- M %*% diag(w^2) %*% M %*% omega
df2 <- sum(diag(A))^2 / sum(diag(A %*% A))
se2 <- sqrt(vcovHC(plain, "HC2")["active", "active"])
say("welch.se", se2); say("welch.df", df2); say("welch.p", 2 * pt(-abs(difference / se2), df2))

strata <- lm(y ~ b + active + site, patients)
report("strata", strata)
say("strata.hc3.se", sqrt(vcovHC(strata, "HC3")["active", "active"]))
report("log", lm(log(y) ~ log(tbr_max_baseline) + active, patients))
report("change", lm(I(100 * (y / tbr_max_baseline - 1)) ~ active, patients))
report("percent_ancova", lm(I(100 * (y / tbr_max_baseline - 1)) ~ b + active, patients))
report("interaction", lm(y ~ b * active, patients), "b:active")
at90 <- patients
at90$b <- patients$tbr_max_baseline - quantile(patients$tbr_max_baseline, .9)
report("interaction90", lm(y ~ b * active, at90))

vessels <- read.csv("vessels.csv")
vessels$active <- as.numeric(vessels$arm == "active")
vessels$b <- vessels$tbr_max_baseline - mean(vessels$tbr_max_baseline)
names(vessels)[names(vessels) == "tbr_max_followup"] <- "y"
raw <- c()
for (name in unique(vessels$vessel)) {
  one <- lm(y ~ tbr_max_baseline + active, vessels[vessels$vessel == name, ])
  report(paste0("vessel.", name), one)
  raw[name] <- summary(one)$coefficients["active", 4]
}
for (name in names(raw)) say(paste0("holm.", name), p.adjust(raw, "holm")[name])

exact <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10))
mixed <- lmer(y ~ b + vessel + active + (1 | participant_id), vessels, control = exact)
row <- summary(mixed, ddf = "Kenward-Roger")$coefficients["active", ]
say("mixed.estimate", row[1]); say("mixed.se", row[2]); say("mixed.df", row[3]); say("mixed.p", row[5])
spread <- as.data.frame(VarCorr(mixed))$vcov
say("mixed.tau2", spread[1]); say("mixed.sigma2", spread[2])
by <- lmer(y ~ b + vessel * active + (1 | participant_id), vessels, control = exact)
without <- update(by, . ~ . - vessel:active)
joint <- KRmodcomp(by, without)$test["Ftest", ]
say("by_vessel.f", joint$stat); say("by_vessel.ddf", joint$ddf); say("by_vessel.p", joint$p.value)
say("by_vessel.scaling", joint$F.scaling)
# The effect in a vessel hotter than its patient's mean by the 90th percentile of these deviations.
mean_of <- ave(vessels$tbr_max_baseline, vessels$participant_id)
vessels$between <- mean_of - mean(mean_of)
vessels$within <- vessels$tbr_max_baseline - mean_of
summed <- list(vessel = contr.sum)
hotter <- lmer(y ~ between + within + vessel + active + active:between + active:within + (1 | participant_id),
               transform(vessels, vessel = factor(vessel)), contrasts = summed, control = exact)
weights <- ifelse(names(fixef(hotter)) == "active", 1, 0)
weights[names(fixef(hotter)) == "within:active"] <- quantile(vessels$within, .9)
say("within90.estimate", sum(weights * fixef(hotter)))
say("within90.se", sqrt(weights %*% as.matrix(vcovAdj(hotter)) %*% weights)); say("within90.df", get_Lb_ddf(hotter, weights))

readings <- read.csv("readings.csv")
wide <- tapply(readings$value, list(readings$subject, readings$rater), mean)
icc <- ICC(wide, lmer = FALSE)$results
forms <- c("1,1", "A,1", "C,1", "1,k", "A,k", "C,k")
for (k in 1:6) {
  say(paste0("icc.", forms[k]), icc$ICC[k])
  say(paste0("icc.", forms[k], ".low"), icc[["lower bound"]][k])
  say(paste0("icc.", forms[k], ".high"), icc[["upper bound"]][k])
}
within <- mean(apply(wide, 1, var))
df <- length(wide) - nrow(wide)
say("repeatability", qnorm(.975) * sqrt(2 * within))
say("repeatability.low", qnorm(.975) * sqrt(2 * within * df / qchisq(.975, df)))
say("repeatability.high", qnorm(.975) * sqrt(2 * within * df / qchisq(.025, df)))
# Within-subject CV of the logarithms, chi-square limits of their variance.
logs <- mean(apply(log(wide), 1, var))
say("cv.log", sqrt(exp(logs) - 1))
say("cv.log.low", sqrt(exp(logs * df / qchisq(.975, df)) - 1))
say("cv.log.high", sqrt(exp(logs * df / qchisq(.025, df)) - 1))
say("cv.raw", sqrt(mean(apply(wide, 1, var) / apply(wide, 1, mean)^2)))
say("ba.bias", mean(wide[, 2] - wide[, 1])); say("ba.sd", sd(wide[, 2] - wide[, 1]))
slope <- summary(lm(I(wide[, 2] - wide[, 1]) ~ I((wide[, 1] + wide[, 2]) / 2)))$coefficients[2, ]
say("ba.slope", slope[1]); say("ba.slope_p", slope[4])

events <- read.csv("outcomes.csv")
events$active <- as.numeric(events$arm == "active")
test <- survdiff(Surv(time_years, event) ~ active, events)
say("log_rank", pchisq(test$chisq, 1, lower.tail = FALSE))
curves <- summary(survfit(Surv(time_years, event) ~ active, events, conf.type = "log-log"), times = 2)
for (k in 1:2) {
  arm <- c("control", "active")[k]
  say(paste0("km.", arm), curves$surv[k]); say(paste0("km.", arm, ".low"), curves$lower[k])
  say(paste0("km.", arm, ".high"), curves$upper[k]); say(paste0("km.", arm, ".at_risk"), curves$n.risk[k])
}
had <- events$event == 1 & events$time_years <= 2
kept <- had | events$time_years >= 2
say("fisher", fisher.test(table(events$active[kept], had[kept]))$p.value)
say("fisher.early", sum(!kept))
# Firth's penalty for one covariate: half the logarithm of the information, added to the partial likelihood.
penalised <- function(beta) {
  fit <- coxph(Surv(time_years, event) ~ active, events, init = beta, control = coxph.control(iter.max = 0))
  fit$loglik[2] - 0.5 * log(fit$var[1, 1])
}
best <- suppressWarnings(optimize(penalised, c(-8, 5), maximum = TRUE, tol = 1e-12))
half <- qchisq(.95, 1) / 2
limit <- function(from, to) {
  exp(suppressWarnings(uniroot(function(x) best$objective - penalised(x) - half, c(from, to), tol = 1e-12)$root))
}
say("firth.hr", exp(best$maximum))
say("firth.low", limit(-8, best$maximum)); say("firth.high", limit(best$maximum, 5))
say("firth.p", pchisq(2 * (best$objective - suppressWarnings(penalised(0))), 1, lower.tail = FALSE))
rate <- poisson.test(tapply(events$event, -events$active, sum), tapply(events$time_years, -events$active, sum))
say("rate_ratio", rate$estimate); say("rate_ratio.low", rate$conf.int[1]); say("rate_ratio.high", rate$conf.int[2])
say("rate_ratio.p", rate$p.value)

# Every fifth participant loses the follow-up; many imputations, so that only the method's own definition is compared.
suppressMessages(library(mice))
lost <- patients[, c("b", "active", "y")]
lost$y[seq_len(nrow(lost)) %% 5 == 0] <- NA
imputed <- mice(lost, m = 2000, method = "norm", maxit = 1, printFlag = FALSE, seed = 1)
pooled <- summary(pool(with(imputed, lm(y ~ b + active))))
row <- pooled[pooled$term == "active", ]
say("mi.estimate", row$estimate); say("mi.se", row$std.error); say("mi.df", row$df)
