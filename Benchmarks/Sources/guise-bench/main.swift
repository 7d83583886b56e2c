let suites: [(String, () throws -> Void)] = [
    ("access-check", accessCheckSuite), ("conditions", conditionSuite),
]
let wanted = CommandLine.arguments.dropFirst()
for (name, suite) in suites where wanted.isEmpty || wanted.contains(name) { try suite() }
