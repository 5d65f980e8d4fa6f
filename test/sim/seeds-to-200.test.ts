/** The scenarios of the second hundred seeds. */
import { testSeeds } from "./support/seeds.ts";

testSeeds(101, 200);
