// Output.
console.log("said");
